// What `service scale` is told of one service.
import { usage } from '../parse-args.ts'

/** Of `SERVICE=REPLICAS`. Errors: USAGE. */
export function parseWish(text: string): { readonly name: string; readonly replicas: number } {
  const equals = text.lastIndexOf('=')
  if (equals < 1) throw usage(`invalid scale specifier "${text}": write SERVICE=REPLICAS`)
  const count = text.slice(equals + 1)
  const replicas = Number(count)
  if (!/^\d+$/.test(count) || replicas > 4_294_967_295) {
    throw usage(`invalid scale specifier "${text}": "${count}" is not a number of replicas`)
  }
  return { name: text.slice(0, equals), replicas }
}
