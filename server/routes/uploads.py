"""An uploaded image on its way into the store."""

from __future__ import annotations

import hashlib

from server.auth import limits
from server.routes.operation import Call
from server.store import images as store
from server.store.images import Image
from server.store.pool import transaction

IMAGE_ERRORS = ("not_an_image", "svg_not_accepted", "image_too_large", "storage_full", "busy", "rate_limited")


async def keep_image(call: Call, shop_id: str, raw: bytes) -> Image:
    """The image, kept once however often it is sent. Files first, then the row: no row points to nothing.

    Raises Problem, one of IMAGE_ERRORS.
    """
    await call.deps.limits.take(limits.UPLOAD, call.person.user_id)
    sha256 = hashlib.sha256(raw).digest()
    async with transaction(call.deps.pool) as db:
        known = await store.image_by_digest(db, shop_id, sha256)
    if known:
        return known
    rendered, image_id = await call.deps.images.render(raw), store.new_image_id()
    await call.deps.images.keep(image_id, rendered)
    size = sum(len(content) for content in rendered.files.values())
    async with transaction(call.deps.pool) as db:
        return await store.add_image(db, shop_id, image_id, sha256, rendered.width, rendered.height, size)
