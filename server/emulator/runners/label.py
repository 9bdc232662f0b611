"""The small label by which a person sees that a picture is a local preview."""

from PIL import Image, ImageDraw, ImageFont

Box = tuple[int, int, int, int]

TEXTS = ("falkit local preview", "local preview", "preview", "falkit")


def label(
    size: tuple[int, int], within: Box | None = None
) -> tuple[Image.Image, tuple[int, int]] | None:
    """Return the label (RGBA) and its place in a picture of *size*; None where none fits.

    It lies in the lower right corner of *within* (left, top, right, bottom), by default of all.
    """
    left, top, right, bottom = within or (0, 0, *size)
    width, height = right - left, bottom - top
    wanted = max(9, round(min(min(size) * 0.026, max(size) * 0.018)))
    for text in TEXTS:
        for letters in (wanted, 11, 9, 8):
            if letters > wanted:
                continue
            drawn = _tag(text, letters)
            gap = max(1, letters // 2)
            if drawn.width + gap * 2 <= width and drawn.height + gap * 2 <= height:
                return drawn, (right - drawn.width - gap, bottom - drawn.height - gap)
    return None


def stamped(picture: Image.Image, within: Box | None = None) -> Image.Image:
    """*picture* (RGB or RGBA) with the label on it, where one fits."""
    found = label(picture.size, within)
    if found:
        tag, place = found
        if picture.mode == "RGBA":
            picture.alpha_composite(tag, place)
        else:
            picture.paste(tag.convert("RGB"), place, tag.getchannel("A"))
    return picture


def _tag(text: str, letters: int) -> Image.Image:
    font = ImageFont.load_default(size=letters)
    left, top, right, bottom = font.getbbox(text)
    side, above = round(letters * 0.55), round(letters * 0.32)
    box = (round(right - left) + side * 2, round(letters * 1.05) + above * 2)
    tag = Image.new("RGBA", box, (16, 18, 26, 0))
    pen = ImageDraw.Draw(tag)
    pen.rounded_rectangle(
        (0, 0, box[0] - 1, box[1] - 1), radius=round(box[1] * 0.3), fill=(16, 18, 26, 168)
    )
    pen.text(
        (side - left, (box[1] - (bottom - top)) / 2 - top),
        text,
        font=font,
        fill=(255, 255, 255, 240),
    )
    return tag
