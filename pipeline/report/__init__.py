"""What people look at: the page, figures, tables, and what DVC shows."""
