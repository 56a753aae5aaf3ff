"""Verdicts for others, as JSON: to an MQTT broker and to a webhook, from a line and from a stream."""
