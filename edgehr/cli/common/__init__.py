"""What several commands share: options, models as users name them, and what they print."""
