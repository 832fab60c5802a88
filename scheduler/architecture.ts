// Names of processor architectures: those of the kernel mean those of images. Source: swarm-semantics 7.2 platform filter; Docker's nodes
// report the kernel's, so constraints of its users ask for them.

const aliases: ReadonlyMap<string, string> = new Map([
  ['x86_64', 'amd64'],
  ['aarch64', 'arm64'],
])

/** The one name that is compared, in lower case. */
export function normalArchitecture(name: string): string {
  const lower = name.toLowerCase()
  return aliases.get(lower) ?? lower
}
