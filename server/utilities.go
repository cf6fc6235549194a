package server

func (s *Server) utilityRoutes() []route { return nil }
