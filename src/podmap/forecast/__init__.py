"""What a sweep will take: attempts, hours, money and time, and the setting that limits it."""
