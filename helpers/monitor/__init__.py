"""Step 6, monitor: response, key figures, targets against actual, alerts, what changed."""
