// How tools find registries, in the form that skopeo and buildah read. Pure. Source: containers-registries.conf(5).

export interface RegistriesConf {
  /** `host[:port]` that speak plain HTTP or have no trusted certificate. */
  readonly insecureRegistries: readonly string[]
}

/** Nothing of the host's own configuration counts beside it: what a name means is the same on all nodes. */
export function registriesConf({ insecureRegistries }: RegistriesConf): string {
  const registries = insecureRegistries.map(
    (registry) => `\n[[registry]]\nlocation = ${JSON.stringify(registry)}\ninsecure = true\n`,
  )
  return `unqualified-search-registries = ["docker.io"]\nshort-name-mode = "disabled"\n${registries.join('')}`
}
