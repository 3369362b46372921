"""What is shown in Slack: cards, forms, notices, App Home."""
