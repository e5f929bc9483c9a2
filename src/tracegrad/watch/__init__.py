"""Watch: a page of this machine's own that shows a training or a stream, and steers it."""
