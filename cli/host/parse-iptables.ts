// Answers of `iptables -S` as one packet sees them. Pure.
import {
  allOf,
  type BaseChain,
  type Chains,
  type Match,
  not,
  type Packet,
  type Step,
  type Verdict,
  yesIf,
} from './firewall.ts'

export interface IptablesTable {
  readonly chains: Chains
  /** The chain INPUT. */
  readonly base: BaseChain
}

/** The table of the answer. */
export function parseIptables(text: string, packet: Packet): IptablesTable {
  const chains = new Map<string, Step[]>()
  let policy: BaseChain['policy'] = 'accept'
  for (const line of text.split('\n')) {
    const [verb = '', chain = '', ...rest] = words(line)
    if (verb === '-P' && chain === 'INPUT' && rest[0] === 'DROP') policy = 'drop'
    if (verb !== '-A') continue
    chains.set(chain, [...(chains.get(chain) ?? []), parseRule(rest, packet)])
  }
  return { chains, base: { name: 'INPUT', policy } }
}

/** Comments are quoted. */
function words(line: string): readonly string[] {
  return [...line.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)].map((match) => match[1] ?? match[2] ?? '')
}

/** Modules whose options are understood below, or limit nothing. */
const knownModules = ['tcp', 'udp', 'conntrack', 'state', 'comment', 'multiport', 'addrtype']

function parseRule(tokens: readonly string[], packet: Packet): Step {
  const matches: Match[] = []
  let isNegated = false
  for (const [at, token] of tokens.entries()) {
    const value = tokens[at + 1] ?? ''
    if (token === '-j') return { match: allOf(matches), verdict: verdictOf(value) }
    if (token === '-g') return { match: allOf(matches), verdict: { kind: 'goto', chain: value } }
    if (token === '!') {
      isNegated = true
      continue
    }
    if (!token.startsWith('-')) continue
    const match = matchOf(token, value, packet)
    matches.push(isNegated ? not(match) : match)
    isNegated = false
  }
  return { match: allOf(matches), verdict: { kind: 'none' } }
}

function matchOf(option: string, value: string, packet: Packet): Match {
  switch (option) {
    case '-p':
      return yesIf(value === packet.protocol || value === 'all')
    case '-i':
      return value === 'lo' ? 'no' : 'maybe'
    case '--dport':
    case '--dports':
      return yesIf(value.split(',').some((range) => isWithin(range, packet.port)))
    case '--ctstate':
    case '--state':
      return yesIf(value.split(',').includes('NEW'))
    case '--dst-type':
      return yesIf(value === 'LOCAL')
    case '--comment':
      return 'yes'
    case '-m':
      return knownModules.includes(value) ? 'yes' : 'maybe'
    default:
      return 'maybe'
  }
}

/** `2377` or `2377:2378`. */
function isWithin(range: string, port: number): boolean {
  const [from = '', to = from] = range.split(':')
  return port >= Number(from) && port <= Number(to)
}

/** Targets that end nothing. */
const passing = ['LOG', 'NFLOG', 'MARK', 'CONNMARK', 'SET', 'TRACE', 'AUDIT', 'SECMARK', 'CT']

function verdictOf(target: string): Verdict {
  if (target === 'ACCEPT') return { kind: 'accept' }
  if (target === 'DROP' || target === 'REJECT') return { kind: 'drop' }
  if (target === 'RETURN') return { kind: 'return' }
  return passing.includes(target) ? { kind: 'none' } : { kind: 'jump', chain: target }
}
