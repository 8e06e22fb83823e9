"""The stage `hierarchy`: from templates to the tree of entities, actions and statuses."""

from __future__ import annotations

from collections import Counter

from . import hierarchy
from .stages import Work
from .work_files import (
    input_settings_of,
    templates_of,
)

# How the summary names the sources of rows; a model is named by itself.
_WHO = {"offline": "the rules", "operator": "you"}


def run_hierarchy(work: Work) -> None:
    options = work.options
    templates = templates_of(work)
    if options.tree:
        leaves = hierarchy.read_tree(options.tree, templates)
    else:
        components = None
        if input_settings_of(work).component_field:
            components = [_component(text) for text in templates]
        leaves = extractor_of(work)(templates, components)
    hierarchy.write_tree(leaves, work.file(".hierarchy.csv"))
    work.file(".hierarchy.csv").replace(work.file("hierarchy.csv"))
    sources = Counter(leaf.source for leaf in leaves)
    entities = len({leaf.entity for leaf in leaves})
    work.say(
        f"hierarchy: {entities} entities; "
        + ", ".join(
            f"{n} templates placed by {_WHO.get(name, name)}" for name, n in sources.most_common()
        )
    )


def _component(template: str) -> str | None:
    """The component that stands before a template's first `: `."""
    component, colon, _ = template.partition(": ")
    if not colon:
        return None
    return component


def extractor_of(work: Work) -> hierarchy.HierarchyExtractor:
    if work.options.llm is None:
        return hierarchy.extract
    # Imported only here, because the package `anthropic` takes a second to import.
    from . import claude

    return claude.ClaudeExtractor(
        model=work.options.llm_model,
        base_url=work.options.llm_base_url or claude.API,
        cache=work.options.llm_cache or claude.default_cache(),
        timeout_s=work.options.llm_timeout,
        retries=work.options.llm_retries,
        concurrency=work.options.llm_concurrency,
        warn=work.warn,
        on_progress=work.progress("ask Claude").show,
    )
