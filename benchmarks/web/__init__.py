"""What the live page costs the inspection."""
