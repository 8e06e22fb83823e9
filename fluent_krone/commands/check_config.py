"""`fluent-krone check-config`: everything that `serve` would refuse, before it is started."""

from __future__ import annotations

import argparse
import sys

from ..alerts.records import check_tag
from ..config import Config, from_flags, may_use_proxy
from ..console.access import console_token
from ..detect.bundle import load_bundle
from ..learning.bundles import blank_bundle
from ..learning.learning import folder_to_learn_in
from ..runtime.endpoints import alert_sink, forward_server
from ..runtime.keeper import check_keep
from ..runtime.storage import check_store
from ..runtime.wiring import check_explainer
from .explain import reachable
from .parser import Commands


def add(commands: Commands) -> None:
    """Declare the command."""
    commands.add(
        "check-config",
        run,
        "validate the parameters and the bundle, and repeat the bundle's golden runs",
        parameters_of="serve",
    )


def _warn_if_unreachable(config: Config) -> None:
    """Say that the model's address cannot be reached; it may come up later, so this is no error."""
    url = config.explain_base_url
    if config.explain == "evidence" or may_use_proxy(url):
        return
    trouble = reachable(url)
    if trouble is not None:
        print(f"warning: explain_base_url {url} cannot be reached: {trouble}", file=sys.stderr)


def run(flags: argparse.Namespace) -> int:
    """Build everything that `serve` would build, and discard it."""
    config = from_flags(flags, "serve")
    forward_server(config)
    alert_sink(config)
    verdict = checked(config)
    _warn_if_unreachable(config)
    print(f"ok: {verdict}")
    return 0


def checked(config: Config) -> str:
    """What is known of bundle and parameters, with any way in; raises what is wrong with them."""
    check_tag(config)
    check_explainer(config)
    check_keep(config)
    if config.console:
        console_token(config)
    trouble = check_store(config)
    if trouble is not None:
        print(f"warning: {trouble}", file=sys.stderr)
    folder = folder_to_learn_in(config)
    if folder is not None:
        blank_bundle().engine(config)
        return f"there is no bundle yet, one is learnt into {folder.path}"
    bundle = load_bundle(config.bundle)
    engine = bundle.engine(config)
    return (
        f"bundle {bundle.name} ({bundle.hash}), {len(bundle.templates)} templates, "
        f"{len(bundle.golden)} golden runs hold, "
        f"idle_timeout {engine.session_settings.idle_timeout:g} s"
    )
