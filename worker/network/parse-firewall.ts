// What nft and iptables say of a firewall that is not ours. Pure.
import { numberOf, objectOf, objects, parseJson, textOf } from './json.ts'
import { tableFamily, tableName } from './kernel-state.ts'

/** A base chain at the forward hook. */
export interface ForwardChain {
  readonly family: string
  readonly table: string
  readonly name: string
  readonly policy: string
  /** Names of all chains of the same table. */
  readonly siblings: readonly string[]
}

/** Answer of `nft -j list chains`: the chains forwarded packets of either family pass, without ours. */
export function parseForwardChains(text: string): readonly ForwardChain[] {
  const chains = objects(objectOf(parseJson(text)).nftables)
    .map((entry) => objectOf(entry.chain))
    .map((chain) => ({
      family: textOf(chain.family),
      table: textOf(chain.table),
      name: textOf(chain.name),
      policy: textOf(chain.policy),
      isForward: chain.hook === 'forward' && chain.type === 'filter',
    }))
  return chains
    .filter(({ family, table, isForward }) => {
      const isOurs = family === tableFamily && table === tableName
      return isForward && !isOurs && ['ip', 'ip6', 'inet'].includes(family)
    })
    .map(({ isForward: _, ...chain }) => ({
      ...chain,
      siblings: chains
        .filter((other) => other.family === chain.family && other.table === chain.table)
        .map((other) => other.name),
    }))
}

/** Answer of `nft -j -a list chain …`. */
export function parseRules(
  text: string,
  mark: string,
): { readonly dropsAll: boolean; readonly markedHandles: readonly number[] } {
  const rules = objects(objectOf(parseJson(text)).nftables)
    .map((entry) => objectOf(entry.rule))
    .filter((rule) => rule.handle !== undefined)
  return {
    dropsAll: rules.some((rule) => {
      const statements = objects(rule.expr).flatMap((statement) => Object.keys(statement))
      const isDrop = statements.some((name) => name === 'drop' || name === 'reject')
      return isDrop && statements.every((name) => unconditional.includes(name))
    }),
    markedHandles: rules
      .filter((rule) => rule.comment === mark)
      .map((rule) => numberOf(rule.handle)),
  }
}

const unconditional = ['drop', 'reject', 'counter', 'log']

/** Answer of `iptables -S CHAIN`; rules as argv without `-A CHAIN`. */
export function parseSaved(text: string): {
  readonly dropsAll: boolean
  readonly rules: readonly (readonly string[])[]
} {
  const lines = text.split('\n').map((line) => line.trim().split(/\s+/))
  const rules = lines.filter(([verb]) => verb === '-A').map(([, , ...rule]) => rule)
  const dropsByPolicy = lines.some(([verb, , policy]) => verb === '-P' && policy === 'DROP')
  const dropsByRule = rules.some(
    ([first, target]) => first === '-j' && (target === 'DROP' || target === 'REJECT'),
  )
  return { dropsAll: dropsByPolicy || dropsByRule, rules }
}
