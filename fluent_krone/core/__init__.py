"""The engine: records in, findings out; pure, without clocks, files and sockets."""
