"""Display names of sites."""


def site_in_words(site_id: int | None, org_id: int | None) -> str:
    """Return the site, with the organisation that the registry names.

    None means no readable site, or no organisation.
    """
    if site_id is None:
        return "no readable site"
    return f"site {site_id} ({'no org' if org_id is None else f'org {org_id}'})"
