"""The data path: source, lanes, pure processor, retry policy, and the Faust app that hosts them."""
