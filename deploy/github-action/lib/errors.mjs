/** The step is configured wrongly. */
export class UsageError extends Error {
  title = "sts: wrong use";
}

/** No token, and why. `retry` says whether another try may help; `after` is what the server asked to wait, in seconds. */
export class ActionError extends Error {
  constructor(title, message, { retry = false, after = undefined } = {}) {
    super(message);
    this.title = `sts: ${title}`;
    this.retry = retry;
    this.after = after;
  }
}
