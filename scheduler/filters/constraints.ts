// Placement constraints: all must hold on the node.
import { constrainedValue, constraintKeys, matchesConstraint } from '../constraints.ts'
import { countNodes, type Filter } from './filter.ts'

export const constraintsFilter: Filter = {
  name: 'constraints',
  applies: (demand) => demand.constraints.length > 0 || demand.unreadable.length > 0,
  accepts: (entry, demand) =>
    demand.unreadable.length === 0 &&
    demand.constraints.every((constraint) => matchesConstraint(constraint, entry.node)),
  summary: (nodes) => `scheduling constraints not satisfied on ${countNodes(nodes)}`,
  detail: (entry, demand) => {
    const broken = demand.constraints.find((each) => !matchesConstraint(each, entry.node))
    if (broken === undefined) return demand.unreadable.join('; ')
    if (broken.field === 'unknown') {
      return `${broken.text}: nodes have no "${broken.key}", the keys are ${constraintKeys}`
    }
    return `${broken.text}: the node has "${constrainedValue(broken, entry.node)}"`
  },
}
