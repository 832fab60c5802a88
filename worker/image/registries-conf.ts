// How tools find registries, in the form that skopeo and buildah read. Pure. Source: containers-registries.conf(5).

export interface RegistryMirror {
  /** Whose images it has: `docker.io`, `registry.example:5000`. */
  readonly registry: string
  /** `host[:port][/path]` */
  readonly location: string
  /** It speaks plain HTTP, or has no trusted certificate. */
  readonly insecure: boolean
}

export interface RegistriesConf {
  /** `host[:port]` that speak plain HTTP or have no trusted certificate. */
  readonly insecureRegistries: readonly string[]
  /** Asked in this order, before the registry itself. */
  readonly registryMirrors: readonly RegistryMirror[]
}

const hostForm = /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?$/
const pathForm = /^(?:\/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*$/

/** `[REGISTRY=]URL`, for docker.io when it names none; a URL without a scheme is https. Errors: Error with a remedy. */
export function parseMirror(text: string): RegistryMirror {
  const equals = text.indexOf('=')
  const registry = equals < 0 ? 'docker.io' : text.slice(0, equals)
  const [, scheme = 'https', host = '', path = ''] =
    /^(?:(https?):\/\/)?([^/]*)(\/.*?)?\/?$/.exec(text.slice(equals + 1)) ?? []
  if (hostForm.test(registry) && hostForm.test(host) && pathForm.test(path)) {
    return { registry, location: `${host}${path}`, insecure: scheme === 'http' }
  }
  throw new Error(
    'must be [REGISTRY=]URL, such as https://mirror.lan or r.lan:5000=http://m.lan:5000',
  )
}

/** Nothing of the host's own configuration counts beside it. */
export function registriesConf({ insecureRegistries, registryMirrors }: RegistriesConf): string {
  const names = new Set([...insecureRegistries, ...registryMirrors.map(({ registry }) => registry)])
  const registries = [...names].map((name) => {
    const mirrors = registryMirrors.filter(({ registry }) => registry === name)
    return [
      table('[[registry]]', name, insecureRegistries.includes(name)),
      ...mirrors.map((one) => table('[[registry.mirror]]', one.location, one.insecure)),
    ].join('')
  })
  return `unqualified-search-registries = ["docker.io"]\nshort-name-mode = "disabled"\n${registries.join('')}`
}

function table(name: string, location: string, insecure: boolean): string {
  return `\n${name}\nlocation = ${JSON.stringify(location)}\ninsecure = ${insecure}\n`
}
