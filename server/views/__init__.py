"""Views for hosts that can show them (MCP Apps): results, comparison, cost."""
