// Names with a fixed set or grammar: signals, capabilities, image references.
import { capabilityNames, signalNames } from '../../proto/spec/kernel-names.ts'

const signals = new Set(signalNames)

/** SIGTERM, TERM, 15, SIGRTMIN+3. */
export function isSignal(text: string): boolean {
  if (/^\d+$/.test(text)) return Number(text) >= 1 && Number(text) <= 64
  const name = text.toUpperCase().replace(/^SIG/, '')
  return signals.has(name) || /^(RTMIN\+|RTMAX-)\d{1,2}$/.test(name)
}

const capabilities = new Set(capabilityNames)

/** NET_ADMIN, CAP_NET_ADMIN, ALL; in any case. */
export function isCapability(text: string): boolean {
  return capabilities.has(text.toUpperCase().replace(/^CAP_/, ''))
}

const host =
  '(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)(?:\\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*(?::\\d+)?'
const part = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*'
const tag = '[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}'
const digest = '[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[0-9a-f]{32,}'
const reference = new RegExp(`^(?:${host}/)?${part}(?:/${part})*(?::${tag})?(?:@${digest})?$`)

/** Source: the grammar of the distribution project. */
export function isImageReference(text: string): boolean {
  return text.length <= 512 && reference.test(text)
}
