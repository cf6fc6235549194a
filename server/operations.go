package server

func (s *Server) operationRoutes() []route { return nil }
