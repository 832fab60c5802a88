// Looks again and again who else waits on the published ports of this node: one that a program of the host had first is
// left to it until it lets go, and a program that came later is told of.
import { isDeepStrictEqual } from 'node:util'
import type { Logger } from '../../proto/lib/log.ts'
import type { NodeCondition } from '../../proto/objects/index.ts'
import type { Kernel } from './kernel.ts'
import {
  type ListeningSocket,
  listCommand,
  ownersCommand,
  parseSockets,
} from './listening-sockets.ts'
import {
  claimConditions,
  claimKey,
  judgeClaims,
  nothingClaimed,
  type PortClaim,
  type Verdict,
} from './port-claims.ts'

export interface PortGuardDeps {
  readonly kernel: Pick<Kernel, 'run'>
  readonly log: Logger
  /** Told what is wrong with published ports, whenever that was looked at. */
  readonly onConditions: (conditions: readonly NodeCondition[]) => void
}

/** Command lines have a bound, and so have conditions. */
const ownersMax = 64

export class PortGuard {
  readonly #deps: PortGuardDeps
  #verdict: Verdict = nothingClaimed
  /** Keys of #verdict.blocked: the same set as long as it is equal. */
  #blocked: ReadonlySet<string> = new Set()
  /** Later programs as of the last look: a socket that lives for a moment only is not worth a word. */
  #late: ReadonlySet<string> = new Set()

  constructor(deps: PortGuardDeps) {
    this.#deps = deps
  }

  /** Keys of ports that are not to be opened; another set each time it changes. */
  get blocked(): ReadonlySet<string> {
    return this.#blocked
  }

  /** Keys of ports that are ours, for a later daemon. */
  get held(): readonly string[] {
    return [...this.#verdict.held]
  }

  /** What an earlier daemon had open. */
  restore(held: readonly string[]): void {
    this.#verdict = { ...this.#verdict, held: new Set(held) }
  }

  /** Looks only when a port is claimed of which it is not known whose it is. */
  async admit(claims: readonly PortClaim[]): Promise<void> {
    const { held } = this.#verdict
    const isKnown = (claim: PortClaim): boolean =>
      claim.isOpen || held.has(claimKey(claim)) || this.#blocked.has(claimKey(claim))
    if (claims.every(isKnown)) return
    await this.look(claims)
  }

  /** Answers whether other ports are blocked now. Where the host cannot be asked, what was seen last counts. */
  async look(claims: readonly PortClaim[]): Promise<boolean> {
    const seen = claims.length === 0 ? [] : await this.#sockets(listCommand)
    const sockets = seen ?? [...this.#verdict.blocked.values()]
    const found = judgeClaims(claims, sockets, this.#verdict.held)
    const verdict = await this.#withOwners(claims, found)
    this.#verdict = verdict
    const late = new Set(verdict.shadowed.keys())
    const lasting = [...verdict.shadowed].filter(([key]) => this.#late.has(key))
    this.#late = late
    const told = { blocked: verdict.blocked, shadowed: new Map(lasting) }
    this.#deps.onConditions(claimConditions(claims, told))
    const blocked = new Set(verdict.blocked.keys())
    if (isDeepStrictEqual(blocked, this.#blocked)) return false
    this.#blocked = blocked
    return true
  }

  /** Undefined: the host did not answer. */
  async #sockets(argv: readonly string[]): Promise<readonly ListeningSocket[] | undefined> {
    try {
      const { code, stdout } = await this.#deps.kernel.run('host', argv)
      return code === 0 ? parseSockets(stdout) : undefined
    } catch (err) {
      this.#deps.log.warn({ err }, 'sockets of the host cannot be listed')
      return undefined
    }
  }

  /** Whose sockets they are is asked only of those that matter. */
  async #withOwners(claims: readonly PortClaim[], found: Verdict): Promise<Verdict> {
    const rivals = [...found.blocked.values(), ...found.shadowed.values()]
    if (rivals.length === 0) return found
    const ports = [...new Set(rivals.map(({ port }) => port))].slice(0, ownersMax)
    const owned = await this.#sockets(ownersCommand(ports))
    if (owned === undefined) return found
    const others = rivals.filter(({ port }) => !ports.includes(port))
    // A socket that is gone meanwhile blocks nothing.
    return judgeClaims(claims, [...owned, ...others], this.#verdict.held)
  }
}
