"""Development commands: `bridge stack`, `bridge demo` and `bridge up`."""
