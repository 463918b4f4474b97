"""A problem as a response of the web framework, which answers the routes that no script has."""

from starlette.responses import Response

from bridge.http.ids import RequestIds
from bridge.http.problems import Problem


def problem_response(problem: Problem, ids: RequestIds, headers: dict[str, str]) -> Response:
    """Return the response with `headers`, of which those of the problem's own answer replace equal ones."""
    answer = problem.answer(ids)
    own = {name.decode(): value.decode() for name, value in answer.headers}
    return Response(answer.body, answer.status, headers | own)
