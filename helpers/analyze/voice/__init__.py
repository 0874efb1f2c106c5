"""What customers say: topics, mood, service, interviews."""
