"""Tables for spreadsheets, which take some texts for formulas."""

# What makes a spreadsheet run a cell; the apostrophe in front says that it is text (OWASP, "CSV
# Injection"). Tabs and line ends are dropped by some before they look.
FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def cell(text: str) -> str:
    """Return *text*, which models or callers wrote, so that no spreadsheet takes it for a formula.

    Quoting is the writer's work.
    """
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA_SIGNS) else text
