// Answers for auth_request: 204 lets a request in, 401 and 403 do not. Anything else is a fault, and lets nobody in.

function token(request) {
  const bearer = /^bearer +([A-Za-z0-9._~+\/-]+=*)$/i.exec(request.headersIn.Authorization || "");
  return bearer ? encodeURIComponent(bearer[1]) : "";
}

function authorize(request) {
  if (!request.variables.sts_token) {
    request.return(401);
    return;
  }
  request.subrequest("/_sts/introspect", function (answer) {
    if (answer.status !== 200) {
      request.error("sts answered " + answer.status);
      request.return(503);
      return;
    }
    const found = JSON.parse(answer.responseText);
    if (found.active !== true) {
      request.return(401);
      return;
    }
    if (!(found.scope || "").split(" ").includes(request.variables.sts_scope)) {
      request.return(403);
      return;
    }
    request.headersOut["X-Account"] = found.sub;
    request.return(204);
  });
}

export default { token, authorize };
