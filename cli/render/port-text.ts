// Published ports as lists show them: *:8080->80/tcp, and with the address that they are bound to.

/** The published end. `bindAddress`: empty is every address. */
export function publishedText(bindAddress: string, publishedPort: number | string): string {
  if (bindAddress === '') return `*:${publishedPort}`
  return `${bindAddress.includes(':') ? `[${bindAddress}]` : bindAddress}:${publishedPort}`
}
