"""Makes the pictures here that Go cannot write; needs Pillow. Run it in this folder."""

import struct

from PIL import Image, ImageCms

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


def profile(name, primaries):
    """Returns an ICC profile of RGB with a gamma of 2.2, whose primaries are given as XYZ."""
    fixed = lambda v: struct.pack(">i", round(v * 65536))
    xyz = lambda v: b"XYZ \0\0\0\0" + b"".join(map(fixed, v))
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(2.2 * 256)) + b"\0\0"
    text = name.encode()
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(text) + 1) + text + b"\0" + bytes(78 + -len(text) % 4 + 1),
        b"cprt": b"text\0\0\0\0CC0\0",
        b"wtpt": xyz((0.9642, 1, 0.8249)),
        **{n: xyz(v) for n, v in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries)},
        **{n: curve for n in (b"rTRC", b"gTRC", b"bTRC")},
    }
    table, data, start = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for n, v in tags.items():
        table += n + struct.pack(">II", start + len(data), len(v))
        data += v + bytes(-len(v) % 4)
    body = table + data
    head = struct.pack(">I4x4s4s4s4s12x4s28x", 128 + len(body), b"\2\x10\0\0", b"mntr", b"RGB ", b"XYZ ", b"acsp")
    return (head + xyz((0.9642, 1, 0.8249))[8:]).ljust(128, b"\0") + body


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
adobe = profile("Adobe RGB (1998)", ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)))
wide = Image.new("RGB", (64, 48), (208, 32, 32))
wide.save("adobe.jpg", icc_profile=adobe)
wide.save("adobe.png", icc_profile=adobe)
wide.save("adobe.webp", icc_profile=adobe, lossless=True)
wide.save("srgb.jpg", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
