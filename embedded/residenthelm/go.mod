// Which Helm the sources are of. Its dependencies are pinned by its own go.sum.
module residenthelm

go 1.26.0

require helm.sh/helm/v3 v3.21.4
