"""What an ACAP application package is made of, as values.

In: settled facts of the project and one SoC. Out: `EapRequest`, all that decides the bytes of one `.eap`. Nothing here
reads a file or checks a value; `check` says what may not be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from dlpubuild.project.app_sdk import has_makefile

if TYPE_CHECKING:
    from dlpubuild.manifest.model import SdkBuildTool
    from dlpubuild.package.spec import PackageRequest
    from dlpubuild.project.app_folder import AppFolder

Schema = Literal["1.7", "2"]
# The oldest version of each: a camera takes schemas that are as old as its AXIS OS, or older. Source: Axis' table of
# manifest schemas and AXIS OS versions.
SCHEMA_VERSIONS: dict[Schema, str] = {"1.7": "1.7.0", "2": "2.0.0"}
DEFAULT_GROUPS = ("video",)
DEFAULT_MIN_OS, DEFAULT_MAX_OS = "12.10", "13"
DEFAULT_ROUNDS = 100
NO_VENDOR_ID = "0"
# What stands in a friendly name for the SoC.
SOC_MARK = "{soc}"


class AcapOptions(Protocol):
    """`[package.acap]`; None where the manifest does not say."""

    @property
    def app_name(self) -> str | None: ...  # noqa: D102
    @property
    def friendly_name(self) -> str | None: ...  # noqa: D102
    @property
    def vendor_id(self) -> str | None: ...  # noqa: D102
    @property
    def vendor_url(self) -> str | None: ...  # noqa: D102
    @property
    def schema(self) -> Schema | None: ...  # noqa: D102
    @property
    def groups(self) -> tuple[str, ...] | None: ...  # noqa: D102
    @property
    def min_os(self) -> str | None: ...  # noqa: D102
    @property
    def max_os(self) -> str | None: ...  # noqa: D102
    @property
    def rounds(self) -> int | None: ...  # noqa: D102


class SdkOptions(Protocol):
    """The keys of `[package.acap]` that say how an SDK packs; None where the manifest does not say."""

    @property
    def sdk_image(self) -> object | None: ...  # noqa: D102
    @property
    def sdk_build(self) -> SdkBuildTool | None: ...  # noqa: D102
    @property
    def sdk_add(self) -> tuple[str, ...] | None: ...  # noqa: D102


@dataclass(frozen=True, slots=True, kw_only=True)
class AcapFacts:
    """What the test application's manifest says beyond the package's own name, version and vendor.

    `given` names the keys of `[package.acap]` that the user wrote. `min_os` and `max_os` are only used by schema 2.
    """

    friendly_name: str
    vendor_id: str | None = None
    vendor_url: str | None = None
    schema: Schema = "1.7"
    groups: tuple[str, ...] = DEFAULT_GROUPS
    min_os: str = DEFAULT_MIN_OS
    max_os: str = DEFAULT_MAX_OS
    given: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What the test application does on the camera; times in whole seconds.

    `load_limit_s` covers loading and running: an ARTPEC-8 compiles a model when it first loads it, which takes
    minutes (Axis' object-detection-yolov5 example speaks of five). A camera on little power refuses its DLPU for a
    while; it is asked again every `power_retry_s`, for at most `power_limit_s`.
    """

    rounds: int = DEFAULT_ROUNDS
    warm_up: int = 5
    load_limit_s: int = 1200
    list_limit_s: int = 60
    notice_s: int = 30
    kill_after_s: int = 5
    power_retry_s: int = 5
    power_limit_s: int = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class SdkPacking:
    """How Axis' own acap-build packs an application.

    `build` is the value of its option `-b`. `add` are names of the application that it gets with `-a`, None for all at
    its top; the model and the labels are added besides.
    """

    build: SdkBuildTool = "no-build"
    add: tuple[str, ...] | None = None

    @property
    def makes_files(self) -> bool:
        """Whether there may be more in the package than in the application's folder."""
        return self.build == "make"


@dataclass(frozen=True, slots=True, kw_only=True)
class EapRequest:
    """All that decides the bytes of one SoC's `.eap`; where the model lies does not.

    With `app`, that application is packed, and of `acap` only `given` is looked at; without, the test application.
    With `sdk`, acap-build packs it, in a step of the build.
    """

    package: PackageRequest
    acap: AcapFacts
    app: AppFolder | None = None
    measurement: Measurement = Measurement()
    sdk: SdkPacking | None = None


def settle_acap(options: AcapOptions, package: PackageRequest) -> AcapFacts:
    """Return the facts of `package`'s application: what `[package.acap]` says, else the defaults.

    The default schema is 2 where there is a vendor ID to write, and 1.7 where there is none.
    """
    has_id = options.vendor_id not in (None, NO_VENDOR_ID)
    friendly_name = options.friendly_name or f"{package.name} {SOC_MARK}"
    names = ("app_name", "friendly_name", "vendor_id", "vendor_url", "schema", "groups", "min_os", "max_os", "rounds")
    return AcapFacts(
        friendly_name=friendly_name.replace(SOC_MARK, package.soc.title),
        vendor_id=options.vendor_id,
        vendor_url=options.vendor_url,
        schema=options.schema or ("2" if has_id else "1.7"),
        groups=DEFAULT_GROUPS if options.groups is None else options.groups,
        min_os=options.min_os or DEFAULT_MIN_OS,
        max_os=options.max_os or DEFAULT_MAX_OS,
        given=tuple(name.replace("_", "-") for name in names if getattr(options, name) is not None),
    )


def settle_sdk(options: SdkOptions, app: AppFolder | None) -> SdkPacking | None:
    """Return how acap-build packs the application, None where the manifest names no SDK."""
    if options.sdk_image is None:
        return None
    build = options.sdk_build or ("make" if has_makefile(app) else "no-build")
    add = options.sdk_add
    # What make is given are sources; they are not installed.
    return SdkPacking(build=build, add=() if add is None and build == "make" else add)


def settle_measurement(options: AcapOptions) -> Measurement:
    """Return what the test application shall do."""
    return Measurement(rounds=DEFAULT_ROUNDS if options.rounds is None else options.rounds)
