"""What `brandpulse bench pipeline` is measured against: each a process of its own, which prints one line of JSON.

They count posts per brand and event-time minute, as a worker does, with the worker's own decoder and matcher, so that
what differs is the way from Kafka to the counts.
"""
