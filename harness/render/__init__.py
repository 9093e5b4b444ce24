"""What every output shares: numbers, text, Markdown, SVG and pages."""
