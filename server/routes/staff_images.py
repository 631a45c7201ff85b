"""A product's images: adding them, their order, what they show."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from msgspec import Meta

from server.problems import Problem
from server.routes.about import the_shop
from server.routes.operation import Call, Operation, Upload
from server.routes.schemas import Body, Image, OptionalLine, View, image_url
from server.routes.staff_catalogue import EDIT, PRODUCT, require_product
from server.routes.uploads import IMAGE_ERRORS, keep_image
from server.store import product_images as store
from server.store.pool import transaction
from server.store.rows import audit

_MOST_IMAGES = 30


class ImageQuery(View, frozen=True):
    alt: OptionalLine = ""


class ChangeImage(Body, frozen=True):
    """`alt` says what the image shows, for who can't see it."""

    alt: OptionalLine


class ImageOrder(Body, frozen=True):
    """The first one stands for the product. Images that are not named come after those that are."""

    image_ids: Annotated[tuple[UUID, ...], Meta(max_length=_MOST_IMAGES)]


async def add_image(call: Call, query: ImageQuery, raw: bytes) -> Image:
    product_id, shop = call.path("id"), await the_shop(call)
    async with transaction(call.deps.pool) as db:
        await require_product(db, shop.id, product_id)
        count = await db.fetchval("SELECT count(*) FROM product_images WHERE product_id = $1", product_id)
    if count >= _MOST_IMAGES:
        raise Problem("too_many", f"A product has at most {_MOST_IMAGES} images.")
    image = await keep_image(call, shop.id, raw)
    async with transaction(call.deps.pool) as db:
        await store.add_product_image(db, product_id, image.id, query.alt)
        await audit(db, shop.id, call.person.user_id, "add_image", product_id, {"image_id": image.id})
    return Image(image.id, image_url(image.id), query.alt, image.width, image.height)


async def change_image(call: Call, body: ChangeImage) -> None:
    product_id, image_id, shop = call.path("id"), call.path("image_id"), await the_shop(call)
    async with transaction(call.deps.pool) as db:
        await require_product(db, shop.id, product_id)
        if not await store.describe_product_image(db, product_id, image_id, body.alt.strip()):
            raise Problem("no_such_image")
        detail = {"image_id": image_id, "alt": body.alt.strip()}
        await audit(db, shop.id, call.person.user_id, "edit_image", product_id, detail)


async def order_images(call: Call, body: ImageOrder) -> None:
    ids, product_id, shop = [str(id) for id in body.image_ids], call.path("id"), await the_shop(call)
    if len(set(ids)) != len(ids):
        raise Problem("invalid_body", fields={"image_ids": "An image is there twice."})
    async with transaction(call.deps.pool) as db:
        await require_product(db, shop.id, product_id)
        await store.order_product_images(db, product_id, ids)
        await audit(db, shop.id, call.person.user_id, "order_images", product_id, {"count": len(ids)})


async def remove_image(call: Call) -> None:
    product_id, image_id, shop = call.path("id"), call.path("image_id"), await the_shop(call)
    async with transaction(call.deps.pool) as db:
        await require_product(db, shop.id, product_id)
        if not await store.remove_product_image(db, product_id, image_id):
            raise Problem("no_such_image")
        await audit(db, shop.id, call.person.user_id, "remove_image", product_id, {"image_id": image_id})


_IMAGES, _IMAGE = PRODUCT + "/images", PRODUCT + "/images/{image_id:uuid}"
_MISSING = ("no_such_product", "no_such_image", "no_shop")

OPERATIONS = (
    Operation(
        "POST",
        _IMAGES,
        add_image,
        "Add an image (raw body); the header `X-Hawker: 1` is needed",
        EDIT,
        upload=Upload(("image/*",)),
        status=201,
        errors=(*IMAGE_ERRORS, "no_such_product", "too_many", "no_shop"),
    ),
    Operation("PUT", _IMAGES, order_images, "Put a product's images into an order", EDIT, errors=_MISSING),
    Operation("PATCH", _IMAGE, change_image, "Say what an image shows", EDIT, errors=_MISSING),
    Operation("DELETE", _IMAGE, remove_image, "Take an image off a product", EDIT, errors=_MISSING),
)
