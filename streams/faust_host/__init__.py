"""The Faust host of the worker. Only this package imports Faust."""
