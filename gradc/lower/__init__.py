"""From Python syntax to the graph, by whitelist: arrays become scalar expressions over loop indices."""
