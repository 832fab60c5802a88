// Image references as docker shows them.

/** Without the default registry; `short`: also without a digest that stands beside a tag. */
export function familiarImage(reference: string, short: boolean): string {
  const familiar = reference.replace(/^docker\.io\//, '').replace(/^library\//, '')
  const at = familiar.indexOf('@')
  const tagged = /:[^/]+$/.test(familiar.slice(0, at === -1 ? undefined : at))
  return short && at !== -1 && tagged ? familiar.slice(0, at) : familiar
}
