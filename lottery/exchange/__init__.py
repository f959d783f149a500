"""Tickets and nets that come from elsewhere or go there."""
