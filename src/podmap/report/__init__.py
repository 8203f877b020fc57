"""What a run came to: leaderboard, figures, report."""
