// What the data plane of a node holds, as lines of text in the words of desired-facts.ts. Read from what `ip`, `bridge` and `nft`
// print; the product's own parsers are not used. Pure.

/** What these programs print with -j in the data plane. */
export interface KernelTexts {
  /** ip -4 -j route show table main */
  readonly routes: string
  /** ip -4 -j route show table local */
  readonly own: string
  /** ip -4 -j neigh show nud permanent */
  readonly neighbours: string
  /** bridge -j fdb show */
  readonly fdb: string
  /** nft -j list table inet tsswarm */
  readonly nft: string
  /** ip -j link show type vxlan */
  readonly links: string
}

type Row = Readonly<Record<string, unknown>>

export function kernelFacts(texts: KernelTexts): ReadonlySet<string> {
  const facts = [
    ...rows(texts.links).map((row) => `device ${row.ifname}`),
    ...rows(texts.routes).flatMap(routeFact),
    ...rows(texts.own).flatMap(ownFact),
    ...rows(texts.neighbours).flatMap(neighbourFact),
    ...rows(texts.fdb).flatMap(fdbFact),
    ...nftFacts(texts.nft),
  ]
  return new Set(facts.filter((fact) => !ofProbes.test(fact)))
}

/** The device by which nodes try the paths to one another is of no network. */
const ofProbes = / vxffffff( |$)/

/** Addresses of nodes, of the link to the host, and of the local network are no matter of the overlay. */
const elsewhere = /^(default|169\.254\.|100\.127\.|172\.|127\.)/

function routeFact(row: Row): readonly string[] {
  const { type, dst, gateway, dev } = row
  if (typeof dst !== 'string' || elsewhere.test(dst)) return []
  if (type === 'unreachable') return [`route ${dst} unreachable`]
  if (gateway !== undefined) return [`route ${dst} via ${gateway} on ${dev}`]
  return [`route ${dst} ${isContainerLink(dev) ? 'to a container' : `on ${dev}`}`]
}

function ownFact({ type, dst }: Row): readonly string[] {
  const isOurs = type === 'local' && typeof dst === 'string' && !elsewhere.test(dst)
  return isOurs ? [`route ${dst} here`] : []
}

function neighbourFact({ dst, dev, lladdr }: Row): readonly string[] {
  if (typeof dst !== 'string' || dev === 'up0') return []
  if (!isContainerLink(dev)) return [`neighbour ${dev} ${dst} at ${lladdr}`]
  return elsewhere.test(dst) ? [] : [`neighbour ${dst}`]
}

function fdbFact({ mac, ifname, dst }: Row): readonly string[] {
  return dst === undefined ? [] : [`fdb ${ifname} ${mac} to ${dst}`]
}

function isContainerLink(dev: unknown): boolean {
  return typeof dev === 'string' && /^v[0-9a-f]{12}$/.test(dev)
}

function nftFacts(text: string): readonly string[] {
  const { nftables } = (text === '' ? { nftables: [] } : JSON.parse(text)) as {
    readonly nftables: readonly Row[]
  }
  return nftables.flatMap(({ set, map, rule }) => [
    ...setFacts(asRow(set)),
    ...vipFacts(asRow(map)),
    ...backendFacts(asRow(rule)),
  ])
}

function setFacts({ name, elem }: Row): readonly string[] {
  const pairs = listOf(elem).map((element) => listOf(asRow(element).concat))
  if (name === 'hairpin') return pairs.map(([address]) => `hairpin ${address}`)
  if (name !== 'same_network') return []
  return pairs.flatMap(([from, to]) => {
    const [source, target] = [prefixOf(from), prefixOf(to)]
    if (elsewhere.test(source)) return []
    return [source === target ? `same_network ${source}` : `same_network ${source} and ${target}`]
  })
}

function prefixOf(value: unknown): string {
  const { addr, len } = asRow(asRow(value).prefix)
  return addr === undefined ? `${value}/32` : `${addr}/${len}`
}

function vipFacts({ name, elem }: Row): readonly string[] {
  if (name !== 'vips') return []
  return listOf(elem).map((pair) => {
    const [vip, verdict] = listOf(pair)
    return `vip ${vip} to ${asRow(asRow(verdict).jump).target}`
  })
}

/** Whatever address the chain of a service leads to. */
function backendFacts({ chain, expr }: Row): readonly string[] {
  if (typeof chain !== 'string' || !chain.startsWith('svc4_')) return []
  const text = JSON.stringify(listOf(expr).filter((one) => asRow(one).dnat !== undefined))
  const addresses = text.match(/\d+\.\d+\.\d+\.\d+/g) ?? []
  return addresses.map((address) => `backend ${chain} ${address}`)
}

function rows(text: string): readonly Row[] {
  return text.trim() === '' ? [] : listOf(JSON.parse(text)).map(asRow)
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

function asRow(value: unknown): Row {
  return typeof value === 'object' && value !== null ? (value as Row) : {}
}
