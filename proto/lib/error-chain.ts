// An error with all that caused it, in one line.

const depthMax = 8

/** Its message, and behind it the message of each cause that is not told already. */
export function chainText(err: unknown): string {
  let text = messageOf(err)
  let at = err
  for (let depth = 0; depth < depthMax && at instanceof Error && at.cause !== undefined; depth++) {
    at = at.cause
    const message = messageOf(at)
    if (message !== '' && !text.includes(message)) text += `: ${message}`
  }
  return text
}

function messageOf(err: unknown): string {
  return err instanceof Error ? err.message : String(err)
}
