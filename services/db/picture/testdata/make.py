"""Makes the pictures here that Go cannot write; needs Pillow. Run it in this folder."""

from PIL import Image

GPS, ORIENTATION = 0x8825, 0x0112


def gradient(mode, size):
    red = Image.linear_gradient("L").resize(size)
    parts = [red, red.rotate(90), Image.new("L", size, 40), Image.new("L", size, 255)]
    return Image.merge(mode, parts[: len(mode)])


def metadata(orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    exif[0x010F] = "a camera's maker"
    exif.get_ifd(GPS).update({1: "N", 2: (22.0, 35.0, 47.0), 3: "E", 4: (113.0, 59.0, 51.0)})
    return exif


photo = gradient("RGB", (64, 48))
for orientation in range(1, 9):  # each looks the same to who knows its orientation: red grows to the right
    photo.save(f"orientation{orientation}.jpg", exif=metadata(orientation), comment="where I live")
photo.save("photo.png", exif=metadata(6))
photo.save("photo.webp", exif=metadata(6))
photo.save("progressive.jpg", progressive=True)
gradient("CMYK", (64, 48)).save("cmyk.jpg")
Image.new("I;16", (64, 48), 40_000).save("sixteen.png")
gradient("RGBA", (64, 48)).save("lossless.webp", lossless=True)
gradient("RGBA", (64, 48)).save("alpha.webp")
frames = [photo, photo.rotate(180)]
frames[0].save("animated.webp", save_all=True, append_images=frames[1:])
frames[0].save("animated.gif", save_all=True, append_images=frames[1:], comment="where I live")
frames[0].save("animated.png", save_all=True, append_images=frames[1:])
