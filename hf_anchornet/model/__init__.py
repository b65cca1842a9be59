"""The ring: configuration, networks, localizers, cascades and pipelines; copied to the Hub."""
