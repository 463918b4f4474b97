"""Images and workflow actions in use, each with its exact version and, once looked up, its digest or commit."""
