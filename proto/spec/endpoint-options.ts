// What a service may say of its interface on a network. Source: Docker's options of endpoints (docker network connect
// --driver-opt), of which the data plane knows the one that sets kernel settings of the interface.

/** Its value: settings such as net.ipv4.conf.IFNAME.log_martians=1, split by commas. */
export const interfaceSysctls = 'com.docker.network.endpoint.sysctls'

/** A path below /proc/sys in which IFNAME stands for the interface's name, and the value. */
export type InterfaceSysctl = readonly [path: string, value: string]

const setting = /^net\.(ipv4|ipv6)\.(conf|neigh)\.IFNAME\.([a-z0-9_]+)=(-?\d{1,10})$/

/** Why they cannot be, with the remedy; undefined when they can. */
export function whyNoEndpointOptions(
  options: Readonly<Record<string, string>>,
): string | undefined {
  for (const [name, value] of Object.entries(options)) {
    if (name !== interfaceSysctls) {
      return `has the driver option "${name}", which no network knows: the one that is known is ${interfaceSysctls}`
    }
    const wrong = value.split(',').find((word) => !setting.test(word))
    if (wrong !== undefined) {
      return (
        `has "${wrong}" in the driver option ${name}: write for example net.ipv4.conf.IFNAME.log_martians=1, ` +
        'IFNAME as it stands here, net.ipv4 or net.ipv6, conf or neigh, and a number'
      )
    }
  }
  return undefined
}

/** Of options that can be. */
export function interfaceSysctlsOf(
  options: Readonly<Record<string, string>>,
): readonly InterfaceSysctl[] {
  return (options[interfaceSysctls] ?? '').split(',').flatMap((word): InterfaceSysctl[] => {
    const [, family, table, name, value = ''] = setting.exec(word) ?? []
    return name === undefined ? [] : [[`net/${family}/${table}/IFNAME/${name}`, value]]
  })
}
